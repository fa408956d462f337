import { createMetrics, loggableFields } from '@millrace/telemetry';
import { expect, test } from 'vitest';
import { codeTexts, readDocument, sectionOf, tableRows } from './read-markdown.ts';

const document = readDocument('docs/operations.md');

test('docs/operations.md lists exactly the metrics, with their labels', () => {
  const metrics = createMetrics('test').registry.getMetricsAsArray();
  const known = metrics
    .filter((metric) => metric.name.startsWith('millrace_'))
    .map((metric) => `${metric.name}: ${labelsOf(metric).join(', ')}`);
  const documented = tableRows(sectionOf(document, '## Metrics')).map(
    ([name, labels]) => `${name}: ${labels}`,
  );
  expect(documented.sort()).toEqual(known.sort());
});

test('every metric that an alert asks for exists', () => {
  const metrics = createMetrics('test').registry.getMetricsAsArray();
  const names = new Set(metrics.map((metric) => metric.name));
  const asked = [...sectionOf(document, '## Alerts').matchAll(/\bmillrace_\w+/g)].map(([name]) => name);
  expect(asked.length).toBeGreaterThan(8);
  expect(asked.filter((name) => !names.has(name))).toEqual([]);
});

test('docs/operations.md lists exactly the fields that a log line may have', () => {
  const lines = sectionOf(document, '## The log')
    .split('\n\n')
    .filter((paragraph) => paragraph.startsWith('- '));
  const documented = [...codeTexts(lines.join('\n'))];
  expect(documented.sort()).toEqual([...loggableFields].sort());
});

function labelsOf(metric: object): string[] {
  return 'labelNames' in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map(String) : [];
}
