import { findSchemaProblems } from '../output/schema-problems.ts';
import type { PlanChecker } from './check-plan.ts';

/** An output schema: what it may not have, its size, and that it compiles. */
export function checkOutputSchema(checker: PlanChecker, schema: Record<string, unknown>, path: string): void {
  const refuse = (pointer: string, message: string) =>
    checker.problems.add('output_schema_invalid', `${path}${pointer}`, message);

  // First, because it bounds the depth without recursion; everything after it recurses.
  const problems = findSchemaProblems(schema);
  for (const { pointer, message } of problems) refuse(pointer, message);
  if (problems.length > 0) return;

  const { maxOutputSchemaBytes } = checker.limits;
  const bytes = Buffer.byteLength(JSON.stringify(schema));
  if (bytes > maxOutputSchemaBytes) {
    refuse('', `a schema may have ${maxOutputSchemaBytes} bytes; this has ${bytes}`);
    return;
  }
  for (const { pointer, message } of checker.validators().check(schema)) refuse(pointer, message);
}
