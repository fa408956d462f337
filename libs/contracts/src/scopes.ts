/** What an API key may do: `jobs` the job and webhook routes, `admin` the operations routes, `board` the dashboard. */
export const scopes = ['jobs', 'admin', 'board'] as const;
export type Scope = (typeof scopes)[number];

/** `mr_<keyid>_<secret>` → its parts; null when the text has another form. */
export function parseApiKey(text: string): { keyId: string; secret: string } | null {
  const match = /^mr_([a-z0-9]{12})_([A-Za-z0-9]{32,64})$/.exec(text);
  if (!match?.[1] || !match[2]) return null;
  return { keyId: match[1], secret: match[2] };
}
