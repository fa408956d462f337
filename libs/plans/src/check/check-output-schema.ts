import type { PlanChecker } from './check-plan.ts';

/** An output schema: its size, and that it compiles. */
export function checkOutputSchema(checker: PlanChecker, schema: Record<string, unknown>, path: string): void {
  const { maxOutputSchemaBytes } = checker.limits;
  const bytes = Buffer.byteLength(JSON.stringify(schema));
  if (bytes > maxOutputSchemaBytes) {
    const message = `a schema may have ${maxOutputSchemaBytes} bytes; this has ${bytes}`;
    checker.problems.add('output_schema_invalid', path, message);
    return;
  }
  for (const problem of checker.validators().check(schema)) {
    const at = problem.pointer === '' ? path : `${path}${problem.pointer}`;
    checker.problems.add('output_schema_invalid', at, problem.message);
  }
}
