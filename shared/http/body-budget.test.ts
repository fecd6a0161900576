import { expect, test } from 'vitest';
import { BodyBudget } from './body-budget.ts';

test('holders have room until all of it is held, and have it back once it is released', () => {
  const budget = new BodyBudget(100);
  expect(budget.take('a', 50)).toBe(true);
  expect(budget.take('b', 40)).toBe(true);
  expect(budget.take('c', 11)).toBe(false);
  expect(budget.take('c', 10)).toBe(true);
  budget.release('a', 50);
  expect(budget.take('c', 40)).toBe(true);
});

test('one holder has half of it at most, however much is left', () => {
  const budget = new BodyBudget(100);
  expect(budget.take('a', 30)).toBe(true);
  expect(budget.take('a', 21)).toBe(false);
  expect(budget.take('a', 20)).toBe(true);
  budget.release('a', 1);
  expect(budget.take('a', 1)).toBe(true);
});
