import { readFileSync } from 'node:fs';

const BOOK = new URL('../texts/pride-and-prejudice-1-16.txt', import.meta.url);

/** Summarises a long text: every part by the cheap route, then the notes by the good one. */
export function summaryPlan(): Record<string, unknown> {
  return {
    type: 'map_reduce',
    document: { text: readFileSync(BOOK, 'utf8') },
    split: { max_tokens: 1200, overlap_tokens: 80 },
    map: {
      type: 'call',
      route: 'cheap',
      prompt: 'Summarise this part of a novel in two sentences.\n\n{{ item }}',
      max_output_tokens: 160,
    },
    reduce: {
      type: 'call',
      route: 'quality',
      prompt:
        'Combine these notes into one summary of at most eight sentences.\n{% for note in items %}\n- {{ note }}{% endfor %}',
      max_output_tokens: 500,
    },
    metadata: { feature: 'digest' },
  };
}

/** Three steps: facts as JSON, a draft from the facts, the draft made short. The last two are streamed. */
export function chainPlan(): Record<string, unknown> {
  return {
    type: 'chain',
    input: TICKET,
    params: { company: 'Millrace Kettles' },
    steps: [
      {
        name: 'facts',
        type: 'call',
        route: 'cheap',
        prompt: 'Extract the facts of this customer message.\n\n{{ input }}',
        output: {
          name: 'ticket_facts',
          schema: {
            type: 'object',
            additionalProperties: false,
            required: ['product', 'problem', 'sentiment', 'wants_refund'],
            properties: {
              product: { type: 'string' },
              problem: { type: 'string' },
              sentiment: { type: 'string', enum: ['angry', 'neutral', 'happy'] },
              wants_refund: { type: 'boolean' },
            },
          },
        },
      },
      {
        name: 'draft',
        type: 'call',
        route: 'quality',
        system: 'You answer customers of {{ params.company }}, briefly and kindly.',
        prompt: 'Write an answer to this message.\n\n{{ input }}\n\nFacts: {{ steps.facts | json }}',
        stream: true,
        max_output_tokens: 300,
      },
      {
        name: 'short',
        type: 'call',
        route: 'cheap',
        prompt: 'Shorten this text to two sentences.\n\n{{ steps.draft }}',
        stream: true,
        max_output_tokens: 120,
      },
    ],
  };
}

/** Sends a message to the team that can help. */
export function routerPlan(): Record<string, unknown> {
  const team = (name: string) => ({
    type: 'call',
    route: 'cheap',
    prompt: `Write a one-sentence note for the ${name} team about this message.\n\n{{ input }}`,
    max_output_tokens: 100,
  });
  return {
    type: 'router',
    input: TICKET,
    classify: {
      type: 'call',
      route: 'cheap',
      prompt: 'Classify this message. Answer with one of: billing, technical, other.\n\n{{ input }}',
      max_output_tokens: 10,
    },
    routes: { billing: team('billing'), technical: team('technical'), other: team('front desk') },
  };
}

const TICKET = `Hello, I bought your K2 kettle three weeks ago. Since yesterday it does not switch on any more, and the error
light on its base blinks twice. I tried another socket and I cleaned the contacts as the manual says, but the technical
fault stays. I am quite annoyed, because it was not cheap. Can you repair it, or do I get my money back?`;
