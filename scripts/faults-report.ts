import { writeFileSync } from 'node:fs';
import { readRecords, resultsFile } from './faults/record.ts';
import { report, reportFile } from './faults/report.ts';

writeFileSync(reportFile, report(readRecords(resultsFile)));
