import { button } from './dom.ts';
import { applyTheme, chooseTheme, chosenTheme, darkSystem, themes } from './theme-choice.ts';

const icons = { system: '◐', light: '☀', dark: '☾' } as const;

/** Light, dark, or as the system is. */
export function themeButton(): HTMLButtonElement {
  const element = button(
    '',
    () => {
      chooseTheme(themes[(themes.indexOf(chosenTheme()) + 1) % themes.length] ?? 'system');
      show();
    },
    { class: 'theme' },
  );
  const show = () => {
    const theme = chosenTheme();
    element.textContent = icons[theme];
    element.setAttribute('aria-label', `Theme: ${theme}. Change it`);
    element.title = `Theme: ${theme}`;
  };
  show();
  return element;
}

darkSystem.addEventListener('change', applyTheme);
