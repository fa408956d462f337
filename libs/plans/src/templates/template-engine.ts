import { Liquid } from 'liquidjs';
import type { Template } from 'liquidjs';
import type { Scope } from '../run/scope.ts';
import { outputText } from './output-text.ts';

/** A template could not be parsed or rendered; the message begins with the field and says why, without any data. */
export class TemplateError extends Error {
  readonly reason: string;

  constructor(field: string, reason: string, cause?: unknown) {
    super(`${field}: ${reason}`, { cause });
    this.name = 'TemplateError';
    this.reason = reason;
  }
}

/** A rendered text has more characters than one text may have. */
export class TextTooLarge extends TemplateError {}

/** Characters of one template's text. */
const PARSE_LIMIT_CHARACTERS = 16_000_000;
/** liquidjs looks at its own clock; a template that takes longer is hostile, not slow. */
const RENDER_LIMIT_MS = 2_000;
/** Units that liquidjs counts for new arrays and strings, roughly characters. */
const MEMORY_LIMIT = 100_000_000;

/**
 * Tags that are not there: those that reach for other templates, and those that keep counters under the names of data.
 */
const REMOVED_TAGS = ['include', 'render', 'layout', 'block', 'increment', 'decrement'];
/** Filters that are not there: random ones, and those that evaluate a text as an expression, which no check could see. */
const REMOVED_FILTERS = [
  'sample',
  'shuffle',
  'where_exp',
  'reject_exp',
  'group_by_exp',
  'has_exp',
  'find_exp',
  'find_index_exp',
];
const DATE_FILTERS = ['date', 'date_to_xmlschema', 'date_to_rfc822', 'date_to_string', 'date_to_long_string'];

/** Making one takes as long as a hundred small templates, and it remembers nothing. */
const liquid = createLiquid();

/** Parses each template once and renders it any number of times. */
export interface TemplateEngine {
  /** The parsed template; throws TemplateError. */
  parse(text: string, field: string): Template[];
  /** The rendered text; throws TemplateError. Unknown variables render as nothing. */
  render(text: string, scope: Partial<Scope>, field: string): string;
  readonly liquid: Liquid;
}

/**
 * Liquid for prompts: standard tags and filters and `json`; no file access, no clock, no randomness; own properties only;
 * lists and objects print as JSON; dates are shown in UTC. It lives as long as one run of a plan, and so does what it parsed.
 */
export function createTemplateEngine(limits: { maxTextCharacters: number }): TemplateEngine {
  const parsed = new Map<string, Template[]>();

  const parse = (text: string, field: string): Template[] => {
    const known = parsed.get(text);
    if (known) return known;
    try {
      const templates = liquid.parse(text);
      parsed.set(text, templates);
      return templates;
    } catch (error) {
      throw new TemplateError(field, reasonOf(error), error);
    }
  };

  return {
    liquid,
    parse,
    render(text, scope, field) {
      // What has no tag renders as itself; a document in a prompt need not pass through the parser.
      if (!text.includes('{{') && !text.includes('{%')) return bounded(text, limits.maxTextCharacters, field);
      const templates = parse(text, field);
      let rendered: string;
      try {
        const environment: object = Object.assign(Object.create(null) as object, scope);
        rendered = liquid.renderSync(templates, environment) as string;
      } catch (error) {
        throw new TemplateError(field, reasonOf(error), error);
      }
      return bounded(rendered, limits.maxTextCharacters, field);
    },
  };
}

function createLiquid(): Liquid {
  const liquid = new Liquid({
    // Nothing can be looked up: no tag of another template is left, and if one were, there would be no template.
    templates: {},
    ownPropertyOnly: true,
    strictFilters: true,
    strictVariables: false,
    outputEscape: outputText,
    timezoneOffset: 0,
    locale: 'en-US',
    parseLimit: PARSE_LIMIT_CHARACTERS,
    renderLimit: RENDER_LIMIT_MS,
    memoryLimit: MEMORY_LIMIT,
  });
  for (const tag of REMOVED_TAGS) Reflect.deleteProperty(liquid.tags, tag);
  for (const filter of REMOVED_FILTERS) Reflect.deleteProperty(liquid.filters, filter);
  for (const name of DATE_FILTERS) refuseNow(liquid, name);
  joinAsJson(liquid);
  return liquid;
}

/** "now" and "today" would read the clock, and a plan that runs again must render the same. */
function refuseNow(liquid: Liquid, name: string): void {
  const filter = liquid.filters[name];
  if (typeof filter !== 'function') return;
  liquid.registerFilter(name, function (value: unknown, ...rest: unknown[]): unknown {
    if (value === 'now' || value === 'today') throw new Error(`the filter ${name} does not know "${value}"`);
    return filter.call(this, value, ...rest);
  });
}

/** As the standard filter, but lists and objects are joined as JSON. */
function joinAsJson(liquid: Liquid): void {
  liquid.registerFilter('join', function (value: unknown, separator: unknown = ' '): string {
    const list: unknown[] = Array.isArray(value) ? value : [value];
    const texts = list.map(outputText);
    const between = outputText(separator);
    this.context.memoryLimit.use(texts.reduce((sum, text) => sum + text.length + between.length, 0));
    return texts.join(between);
  });
}

/** Half of a surrogate pair cannot be sent as UTF-8; it becomes U+FFFD. */
function bounded(text: string, maxCharacters: number, field: string): string {
  if (text.length <= maxCharacters) return text.toWellFormed();
  throw new TextTooLarge(field, `the text has ${text.length} characters, more than ${maxCharacters}`);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
}
