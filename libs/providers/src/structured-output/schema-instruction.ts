/** What a model is told where the vendor cannot enforce a schema; the answer is validated and repaired later anyway. */
export function withSchemaInstruction(system: string | null, schema: Record<string, unknown>): string {
  const instruction =
    'Answer with one JSON value and nothing else: no explanation, no code fence. ' +
    `It must be valid against this JSON Schema:\n${JSON.stringify(schema)}`;
  return system === null ? instruction : `${system}\n\n${instruction}`;
}
