/** `openai/gpt-6-luna` → provider and model; the model may contain slashes. */
export function splitTarget(target: string): { provider: string; model: string } {
  const slash = target.indexOf('/');
  return { provider: target.slice(0, slash), model: target.slice(slash + 1) };
}
