import { isFields, readFields, readText, refuseOthers } from './body-fields.ts';
import type { Fields } from './body-fields.ts';
import { invalid, unsupported } from './line-problem.ts';

/** What is said in a request: the system's texts as one, and the messages after them. */
export interface Conversation {
  system: string | undefined;
  messages: { role: 'user' | 'assistant'; content: string }[];
}

/** How an endpoint writes its messages. */
interface MessageShape {
  /** Members of a message besides `role` and `content` that are looked at, or say nothing whatever their value. */
  known: readonly string[];
  /** Values of other members that say nothing. */
  harmless: Readonly<Record<string, readonly unknown[]>>;
  /** The `type` of a part that is text. */
  textParts: readonly string[];
}

/** `messages` of Chat Completions. */
export const chatMessages: MessageShape = { known: ['name'], harmless: {}, textParts: ['text'] };
/** `input` of Responses; answers of earlier turns carry their ids. */
export const responseItems: MessageShape = {
  known: ['id'],
  harmless: { type: ['message'], status: ['completed'] },
  textParts: ['input_text', 'output_text'],
};

/**
 * A list of messages as a conversation. System and developer messages come first, as everywhere where instruction and data
 * are kept apart; what is not text cannot be expressed. Throws LineProblem.
 */
export function readConversation(
  value: unknown,
  param: string,
  shape: MessageShape,
  instructions?: string,
): Conversation {
  if (!Array.isArray(value)) throw invalid(param, 'a list is expected');
  const system = instructions === undefined ? [] : [instructions];
  const messages: Conversation['messages'] = [];
  const names = new Map<unknown, unknown>();
  for (const [index, each] of (value as unknown[]).entries()) {
    const at = `${param}[${index}]`;
    const message = readFields(each, at);
    // A call of a tool, an image, …: named by its kind.
    if (typeof message['type'] === 'string' && !shape.harmless['type']?.includes(message['type'])) {
      throw unsupported(
        `${at}.type`,
        `only messages are supported here, not ${message['type'].slice(0, 50)}`,
      );
    }
    refuseOthers(message, at, ['role', 'content', ...shape.known], shape.harmless);
    refuseSecondName(names, message, at);
    const content = readContent(message['content'], `${at}.content`, shape);
    switch (message['role']) {
      case 'user':
      case 'assistant':
        messages.push({ role: message['role'], content });
        break;
      case 'system':
      case 'developer':
        if (messages.length > 0) throw unsupported(`${at}.role`, 'system messages come first here');
        system.push(content);
        break;
      default:
        throw unsupported(`${at}.role`, 'only system, developer, user and assistant are supported here');
    }
  }
  if (messages.length === 0) throw invalid(param, 'a message of the user is needed');
  return { system: system.length === 0 ? undefined : system.join('\n\n'), messages };
}

/**
 * A name tells participants of the same role apart, and a call has no place for it: it says nothing as long as a role has one
 * participant.
 */
function refuseSecondName(names: Map<unknown, unknown>, { role, name }: Fields, at: string): void {
  if (name !== undefined && name !== null) readText(name, `${at}.name`);
  const first = names.has(role) ? names.get(role) : name;
  if ((first ?? null) !== (name ?? null)) {
    throw unsupported(`${at}.name`, 'messages of the same role have the same name here, or none');
  }
  names.set(role, name);
}

function readContent(value: unknown, param: string, shape: MessageShape): string {
  if (!Array.isArray(value)) return readText(value, param);
  const texts = (value as unknown[]).map((part, index) => {
    const at = `${param}[${index}]`;
    if (!isFields(part)) throw invalid(at, 'an object is expected');
    if (typeof part['type'] !== 'string' || !shape.textParts.includes(part['type'])) {
      throw unsupported(`${at}.type`, 'only text is supported here');
    }
    refuseOthers(part, at, ['type', 'text']);
    return readText(part['text'], `${at}.text`);
  });
  return readText(texts.join(''), param);
}
