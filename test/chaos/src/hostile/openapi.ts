/** As much of an OpenAPI document as the hostile campaign reads. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  items?: Schema;
  prefixItems?: Schema[];
  minimum?: number;
  maximum?: number;
  minItems?: number;
  format?: string;
  pattern?: string;
  default?: unknown;
}

export interface Operation {
  method: string;
  path: string;
  parameters: { name: string; in: string; schema: Schema }[];
  /** Of a JSON body; null for none or another media type. */
  body: Schema | null;
  isUpload: boolean;
}

/** The document's operations, with what they refer to put in. */
export interface ApiDescription {
  operations: readonly Operation[];
  resolve: (schema: Schema) => Schema;
}

interface Document {
  paths: Record<string, Record<string, RawOperation>>;
  components?: { schemas?: Record<string, Schema>; parameters?: Record<string, RawParameter> };
}
interface RawOperation {
  parameters?: (RawParameter | { $ref: string })[];
  requestBody?: { content: Record<string, { schema?: Schema }> };
}
interface RawParameter {
  name: string;
  in: string;
  schema?: Schema;
}

export async function readApi(apiUrl: string): Promise<ApiDescription> {
  const document = (await (await fetch(`${apiUrl}/openapi.json`)).json()) as Document;
  const named = <Item>(items: Record<string, Item> | undefined, reference: string): Item => {
    const found = items?.[reference.split('/').at(-1) ?? ''];
    if (!found) throw new Error(`${reference} is not in the document`);
    return found;
  };
  const resolve = (schema: Schema): Schema =>
    schema.$ref === undefined ? schema : resolve(named(document.components?.schemas, schema.$ref));
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Operation => {
      const content = operation.requestBody?.content ?? {};
      return {
        method: method.toUpperCase(),
        path,
        parameters: (operation.parameters ?? []).map((each) => {
          const parameter = '$ref' in each ? named(document.components?.parameters, each.$ref) : each;
          return { name: parameter.name, in: parameter.in, schema: parameter.schema ?? {} };
        }),
        body: content['application/json']?.schema ?? null,
        isUpload: 'multipart/form-data' in content,
      };
    }),
  );
  return { operations, resolve };
}
