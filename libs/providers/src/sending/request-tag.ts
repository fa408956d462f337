/** OpenAI refuses an `X-Client-Request-Id` above 512 ASCII characters; a header must not carry control characters. */
export function toRequestTag(tag: string): string {
  return tag.replace(/[^\x20-\x7e]/g, '_').slice(0, 512);
}
