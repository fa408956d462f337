import { z } from 'zod';
import { jsonSchema } from './json.ts';

/** `provider/model`; what vendors and self-hosted servers call their models is printable ASCII. */
const MODEL = /^[a-z][a-z0-9_-]{0,31}\/[\x21-\x7e]{1,160}$/;
const ROUTE = /^[a-z][a-z0-9_-]{0,63}$/;
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
const nameSchema = z.string().regex(NAME, 'a name is a letter, then up to 63 letters, digits, "_" or "-"');
/** Router labels are what a model answers; they become step keys, so they are names that may begin with a digit. */
const labelSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'a label is 1–64 letters, digits, "_" or "-"');
const pathSchema = z
  .string()
  .regex(
    /^(?:input|steps|item|items|params)(?:\.[A-Za-z_][\w-]*|\[\d+\])*$/,
    'a path such as "steps.outline.sections"',
  );

/** One message of a conversation; the content is a Liquid template. */
export const messageSchema = z.strictObject({
  role: z.enum(['user', 'assistant']),
  content: z.string().min(1),
});

const outputSchema = z
  .strictObject({
    schema: z
      .record(z.string(), z.unknown())
      .meta({ description: 'JSON Schema (2020-12 or draft-07) that the answer must satisfy.' }),
    name: nameSchema.optional(),
  })
  .meta({ description: 'Structured output: the answer is JSON, validated, repaired at most twice.' });

/** A route's name, or a target where it has a slash. */
const placeSchema = z
  .string()
  .refine((text) => ROUTE.test(text) || MODEL.test(text), 'a route, or a model as "provider/model"');

const escalateSchema = z
  .strictObject({
    to: placeSchema.meta({
      description: 'A route, or a model as "provider/model": who answers when the first is unsure.',
    }),
    when: z.strictObject({
      logprob_below: z.number().min(-100).max(0).optional().meta({
        description:
          'The mean log probability of the answer’s tokens is below this, or the provider does not tell it.',
      }),
      schema_invalid: z
        .boolean()
        .optional()
        .meta({ description: 'The answer does not fit `output.schema`; it is not repaired then.' }),
      judge_below: z
        .strictObject({
          score: z.number().min(0).max(1),
          by: placeSchema.meta({ description: 'A route or model that scores the answer from 0 to 1.' }),
          rubric: z
            .string()
            .min(1)
            .optional()
            .meta({ description: 'What makes an answer good. Liquid template that may use params only.' }),
        })
        .optional(),
    }),
  })
  .meta({
    description: 'Asks a dearer route again where the answer is unsure. Any condition of `when` is enough.',
  });

const callShape = {
  type: z.literal('call'),
  route: z
    .string()
    .regex(ROUTE, 'a route is a-z, then up to 63 of "a-z 0-9 _ -"')
    .optional()
    .meta({ description: 'A configured route, such as "cheap".' }),
  model: z
    .string()
    .regex(MODEL, 'a model is "provider/model", printable ASCII without spaces')
    .optional()
    .meta({ description: 'A target, "provider/model"; route and model exclude each other.' }),
  prompt: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'Liquid template; prompt or messages, not both.' }),
  messages: z.array(messageSchema).min(1).max(1000).optional(),
  system: z.string().min(1).optional().meta({ description: 'Liquid template that may use params only.' }),
  output: outputSchema.optional(),
  max_output_tokens: z.int().min(1).optional(),
  temperature: z.number().min(0).max(2).optional().meta({
    description: 'Sent as it is; reasoning models refuse it, and models of Anthropic take none but 1.',
  }),
  top_p: z.number().min(0).max(1).optional().meta({ description: 'As `temperature`.' }),
  stream: z.boolean().optional().meta({ description: 'Publish step.delta events while the answer arrives.' }),
  escalate: escalateSchema.optional(),
};

/** OpenAI's limit of inputs in one request. */
const MAX_EMBED_INPUTS = 2_048;
/** Above the dimensions of every current model. */
const MAX_DIMENSIONS = 8_192;

const embedShape = {
  type: z.literal('embed'),
  route: callShape.route,
  model: callShape.model,
  text: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1).max(MAX_EMBED_INPUTS)], {
      error: `a text, or 1 to ${MAX_EMBED_INPUTS} texts, none empty; tokens are not taken`,
    })
    .meta({
      description:
        'Liquid template, or several: what is embedded. The output is one vector, or a list of them.',
    }),
  dimensions: z
    .int()
    .min(1)
    .max(MAX_DIMENSIONS)
    .optional()
    .meta({ description: 'Numbers of each vector, for models that can shorten them.' }),
  encoding_format: z
    .enum(['float', 'base64'])
    .optional()
    .meta({ description: 'float (default): lists of numbers; base64: 32-bit floats, little endian.' }),
};

const nodeRef: z.ZodType<PlanNode> = z.lazy(() => planNodeSchema);
const chainStepRef: z.ZodType<ChainStep> = z.lazy(() => chainStepSchema);

const chainShape = {
  type: z.literal('chain'),
  steps: z.array(chainStepRef).min(1).max(100),
};

const routerShape = {
  type: z.literal('router'),
  classify: nodeRef,
  routes: z.record(labelSchema, nodeRef),
  default: nodeRef.optional(),
};

/** How a fan-out makes one result of several. */
export const joinSchema = z.union([
  z.enum(['all', 'first_valid', 'vote']),
  z.strictObject({ judge: nodeRef }),
]);

const fanOutShape = {
  type: z.literal('fan_out'),
  branches: z.record(nameSchema, nodeRef).optional(),
  count: z.int().min(1).max(100).optional(),
  node: nodeRef.optional(),
  join: joinSchema.optional().meta({ description: 'all (default), first_valid, vote or {judge: node}' }),
};

const splitSchema = z.strictObject({
  max_tokens: z.int().min(16).max(1_000_000).default(1500),
  overlap_tokens: z.int().min(0).max(100_000).default(0),
});

const mapReduceShape = {
  type: z.literal('map_reduce'),
  document: z
    .union([z.strictObject({ text: z.string().min(1) }), z.strictObject({ from: pathSchema })])
    .optional(),
  items: z.union([z.array(jsonSchema).min(1), z.strictObject({ from: pathSchema })]).optional(),
  split: splitSchema.optional(),
  map: nodeRef,
  reduce: nodeRef.optional().meta({ description: 'Without it the output is the list of the map outputs.' }),
};

/** A plan node as a client writes it. Cross-field rules (route or model, …) are checked by {@link checkPlan}. */
export interface CallNode {
  type: 'call';
  route?: string | undefined;
  model?: string | undefined;
  prompt?: string | undefined;
  messages?: { role: 'user' | 'assistant'; content: string }[] | undefined;
  system?: string | undefined;
  output?: { schema: Record<string, unknown>; name?: string | undefined } | undefined;
  max_output_tokens?: number | undefined;
  temperature?: number | undefined;
  top_p?: number | undefined;
  stream?: boolean | undefined;
  escalate?: Escalation | undefined;
}
/** Where a call goes on when its first answer is unsure. `to` and `by` are routes, or models where they have a slash. */
export interface Escalation {
  to: string;
  when: {
    logprob_below?: number | undefined;
    schema_invalid?: boolean | undefined;
    judge_below?: { score: number; by: string; rubric?: string | undefined } | undefined;
  };
}
export interface ChainNode {
  type: 'chain';
  steps: ChainStep[];
}
export interface RouterNode {
  type: 'router';
  classify: PlanNode;
  routes: Record<string, PlanNode>;
  default?: PlanNode | undefined;
}
export interface FanOutNode {
  type: 'fan_out';
  branches?: Record<string, PlanNode> | undefined;
  count?: number | undefined;
  node?: PlanNode | undefined;
  join?: 'all' | 'first_valid' | 'vote' | { judge: PlanNode } | undefined;
}
export interface MapReduceNode {
  type: 'map_reduce';
  document?: { text: string } | { from: string } | undefined;
  items?: unknown[] | { from: string } | undefined;
  split?: { max_tokens: number; overlap_tokens: number } | undefined;
  map: PlanNode;
  reduce?: PlanNode | undefined;
}
/** Texts become vectors: one for a text, a list of them for a list. */
export interface EmbedNode {
  type: 'embed';
  route?: string | undefined;
  model?: string | undefined;
  text: string | string[];
  dimensions?: number | undefined;
  encoding_format?: 'float' | 'base64' | undefined;
}
export type PlanNode = CallNode | ChainNode | RouterNode | FanOutNode | MapReduceNode | EmbedNode;
export type ChainStep = PlanNode & { name: string };

/** A node of a plan; unknown fields are refused with their path. */
export const planNodeSchema: z.ZodType<PlanNode> = z
  .discriminatedUnion('type', [
    z.strictObject(callShape).meta({ id: 'CallNode' }),
    z.strictObject(chainShape).meta({ id: 'ChainNode' }),
    z.strictObject(routerShape).meta({ id: 'RouterNode' }),
    z.strictObject(fanOutShape).meta({ id: 'FanOutNode' }),
    z.strictObject(mapReduceShape).meta({ id: 'MapReduceNode' }),
    z.strictObject(embedShape).meta({ id: 'EmbedNode' }),
  ])
  .meta({ id: 'PlanNode' });

const named = { name: nameSchema };
const chainStepSchema: z.ZodType<ChainStep> = z
  .discriminatedUnion('type', [
    z.strictObject({ ...named, ...callShape }),
    z.strictObject({ ...named, ...chainShape }),
    z.strictObject({ ...named, ...routerShape }),
    z.strictObject({ ...named, ...fanOutShape }),
    z.strictObject({ ...named, ...mapReduceShape }),
    z.strictObject({ ...named, ...embedShape }),
  ])
  .meta({ id: 'ChainStep' });

/** The fields of each node type, for requests that are a node plus options. */
export const planNodeShapes = [
  callShape,
  chainShape,
  routerShape,
  fanOutShape,
  mapReduceShape,
  embedShape,
] as const;
