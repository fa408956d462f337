import { readFileSync } from 'node:fs';
import { TEAMS } from './tickets.ts';

const BOOK = new URL('../texts/pride-and-prejudice-1-16.txt', import.meta.url);

const classification = {
  name: 'ticket',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['team', 'summary'],
    properties: { team: { type: 'string', enum: TEAMS }, summary: { type: 'string' } },
  },
};

/** One job for all tickets: the deadline of a day lets every one of its calls ride in a provider's batch. */
export function ticketsPlan(tickets: readonly string[]): Record<string, unknown> {
  return {
    type: 'map_reduce',
    items: tickets,
    map: {
      type: 'call',
      route: 'cheap',
      prompt: `Which team should answer this customer? One of: ${TEAMS.join(', ')}.\n\n{{ item }}`,
      output: classification,
      max_output_tokens: 80,
    },
    deadline: '24h',
  };
}

/** The parts of a book ride in a batch; the summary of their notes is streamed, and what is streamed does not wait. */
export function bookPlan(): Record<string, unknown> {
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
      model: 'anthropic/claude-sonnet-5-5',
      prompt:
        'Combine these notes into one summary of at most eight sentences.\n{% for note in items %}\n- {{ note }}{% endfor %}',
      stream: true,
      max_output_tokens: 500,
    },
    deadline: '24h',
  };
}

/** Tickets that cannot wait for long, in a batch all the same: they leave it when their deadline comes near. */
export function urgentPlan(tickets: readonly string[], deadline: string): Record<string, unknown> {
  return {
    type: 'map_reduce',
    items: tickets,
    map: {
      type: 'call',
      model: 'anthropic/claude-haiku-5-5',
      prompt: `Which team should answer this customer? One of: ${TEAMS.join(', ')}.\n\n{{ item }}`,
      max_output_tokens: 20,
    },
    lane: 'batch',
    deadline,
  };
}
