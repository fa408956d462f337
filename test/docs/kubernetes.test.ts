import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { configFileSchema, loadConfig, settings } from '@millrace/config';
import { parseDurationMs } from '@millrace/contracts';
import { createMetrics, createOperationsServer } from '@millrace/telemetry';
import { expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { createOpenApiDocument } from '../../apps/api/src/docs/openapi-document.ts';
import { scalingSchema } from '../../apps/api/src/operations/scaling.ts';
import { repositoryRoot } from './read-markdown.ts';

type Labels = Record<string, string>;
type Variable = { name: string; value?: string; valueFrom?: { secretKeyRef: { name: string; key: string } } };
type Probe = { httpGet: { path: string; port: string } };

interface Container {
  image: string;
  command: string[];
  env?: Variable[];
  envFrom?: { configMapRef: { name: string } }[];
  ports?: { name: string; containerPort: number }[];
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  startupProbe?: Probe;
  volumeMounts?: { name: string }[];
}

interface Pod {
  terminationGracePeriodSeconds?: number;
  containers: [Container];
  volumes?: { name: string; configMap: { name: string; items: { key: string }[] } }[];
}

/** The parts of the manifests that these tests look at, by kind. */
interface Specs {
  Namespace: unknown;
  ConfigMap: unknown;
  Secret: unknown;
  Job: { template: { spec: Pod } };
  Deployment: {
    replicas?: number;
    selector: { matchLabels: Labels };
    template: { metadata: { labels: Labels; annotations: Labels }; spec: Pod };
  };
  PodDisruptionBudget: { selector: { matchLabels: Labels } };
  Service: { selector: Labels; ports: [{ port: number; targetPort: string }] };
  NetworkPolicy: { podSelector: { matchLabels: Labels } };
  ScaledObject: {
    scaleTargetRef: { name: string };
    triggers: [{ type: string; metadata: Labels; authenticationRef: { name: string } }];
  };
  TriggerAuthentication: { secretTargetRef: [{ parameter: string; name: string; key: string }] };
}
type Kind = keyof Specs;
interface Manifest<Of extends Kind = Kind> {
  kind: Of;
  metadata: { name: string };
  data?: Record<string, string>;
  stringData?: Record<string, string>;
  spec: Specs[Of];
}

const directory = join(repositoryRoot, 'infra/k8s');
const read = (file: string): string => readFileSync(join(directory, file), 'utf8');
const kustomization = parse(read('kustomization.yaml')) as {
  resources: string[];
  images: { name: string }[];
};
const documentsOf = (file: string): Manifest[] =>
  parseAllDocuments(read(file)).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as Manifest;
  });
const manifests = kustomization.resources.flatMap(documentsOf);
const [secret] = documentsOf('secret.example.yaml');
const ofKind = <Of extends Kind>(kind: Of): Manifest<Of>[] =>
  manifests.filter((each): each is Manifest<Of> => each.kind === kind);
const named = <Of extends Kind>(kind: Of, name: string): Manifest<Of> => {
  const found = ofKind(kind).find((each) => each.metadata.name === name);
  if (!found) throw new Error(`there is no ${kind} "${name}"`);
  return found;
};
const deployments = ofKind('Deployment');
const pods = [...deployments, ...ofKind('Job')].map(({ spec }) => spec.template.spec);
const variable = (pod: Pod, name: string): string | undefined =>
  pod.containers[0].env?.find((each) => each.name === name)?.value;

test('there is a Deployment for each app, and every file belongs to the kustomization', () => {
  expect(deployments.map((each) => each.metadata.name).sort()).toEqual([
    'millrace-api',
    'millrace-scheduler',
    'millrace-worker',
  ]);
  const apart = ['kustomization.yaml', 'secret.example.yaml'];
  const files = readdirSync(directory).filter((file) => !apart.includes(file));
  expect(files.sort()).toEqual(kustomization.resources.toSorted());
  const kinds = new Set(manifests.map((each) => each.kind));
  for (const kind of [
    'Service',
    'ScaledObject',
    'PodDisruptionBudget',
    'NetworkPolicy',
    'ConfigMap',
    'Job',
  ]) {
    expect([...kinds]).toContain(kind);
  }
  const names = manifests.map((each) => `${each.kind}/${each.metadata.name}`);
  expect(new Set(names).size).toBe(names.length);
});

test('what a container runs exists, and every variable that it is given is a setting', () => {
  const settingsOf = named('ConfigMap', 'millrace-settings').data ?? {};
  const given = Object.keys(settingsOf);
  for (const pod of pods) {
    for (const container of pod.containers) {
      expect(kustomization.images.map(({ name }) => name)).toContain(container.image);
      expect(() => readFileSync(join(repositoryRoot, container.command[1] ?? ''))).not.toThrow();
      given.push(...(container.env ?? []).map(({ name }) => name));
    }
  }
  expect(given.filter((name) => !(name in settings))).toEqual([]);
});

test('every Secret, ConfigMap, volume and port that is named exists', () => {
  const keys = Object.keys(secret?.stringData ?? {});
  expect(secret?.metadata.name).toBe('millrace-secrets');
  for (const pod of pods) {
    const volumes = (pod.volumes ?? []).map(({ name }) => name);
    for (const container of pod.containers) {
      for (const { valueFrom } of container.env ?? []) {
        if (!valueFrom) continue;
        expect(valueFrom.secretKeyRef.name).toBe(secret?.metadata.name);
        expect(keys).toContain(valueFrom.secretKeyRef.key);
      }
      for (const { configMapRef } of container.envFrom ?? []) {
        expect(Object.keys(named('ConfigMap', configMapRef.name).data ?? {})).not.toEqual([]);
      }
      for (const mount of container.volumeMounts ?? []) expect(volumes).toContain(mount.name);
    }
    for (const { configMap } of pod.volumes ?? []) {
      const data = named('ConfigMap', configMap.name).data ?? {};
      for (const item of configMap.items) expect(Object.keys(data)).toContain(item.key);
    }
  }
});

test('the processes would start with the configuration that they are given', () => {
  const file = parse(named('ConfigMap', 'millrace-config').data?.['millrace.config.yaml'] ?? '') as unknown;
  expect(configFileSchema.safeParse(file).error).toBeUndefined();
  for (const { containers } of pods) {
    const given = (containers[0].env ?? []).filter(({ value }) => value !== undefined);
    const environment = Object.fromEntries(given.map(({ name, value }) => [name, value]));
    const { MILLRACE_CONFIG: _path, ...shared } = named('ConfigMap', 'millrace-settings').data ?? {};
    const { DATABASE_URL = '', REDIS_URL = '' } = secret?.stringData ?? {};
    expect(() =>
      loadConfig({ ...shared, ...environment, DATABASE_URL, REDIS_URL }, '/nowhere'),
    ).not.toThrow();
  }
});

test('probes ask for routes that are served, on ports that are open', async () => {
  const routes = Object.keys(createOpenApiDocument('0').paths ?? {});
  const listening = Promise.withResolvers<string>();
  const server = createOperationsServer({
    host: '127.0.0.1',
    port: 0,
    metrics: createMetrics('test'),
    problems: () => Promise.resolve([]),
    onListening: listening.resolve,
  });
  await server.start();
  const url = await listening.promise;
  try {
    for (const deployment of deployments) {
      const [container] = deployment.spec.template.spec.containers;
      const { name, containerPort } = container.ports![0]!;
      const portSetting =
        deployment.metadata.name === 'millrace-api' ? 'MILLRACE_PORT' : 'MILLRACE_OPERATIONS_PORT';
      expect(container.env).toContainEqual({ name: portSetting, value: String(containerPort) });
      for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
        const { path, port } = container[probe]!.httpGet;
        expect(port).toBe(name);
        if (portSetting === 'MILLRACE_PORT') expect(routes).toContain(path);
        else expect((await fetch(`${url}${path}`)).status).toBe(200);
      }
      const { annotations } = deployment.spec.template.metadata;
      expect(annotations['prometheus.io/port']).toBe(String(containerPort));
      expect(annotations['prometheus.io/path']).toBe('/metrics');
    }
  } finally {
    await server.stop();
  }
});

test('selectors find the pods that they are for', () => {
  const matches = (labels: Record<string, string>, wanted: Record<string, string>): boolean =>
    Object.entries(wanted).every(([key, value]) => labels[key] === value);
  const found = (wanted: Record<string, string>): string[] =>
    deployments
      .filter((each) => matches(each.spec.template.metadata.labels, wanted))
      .map((each) => each.metadata.name);
  for (const deployment of deployments) {
    expect(found(deployment.spec.selector.matchLabels)).toEqual([deployment.metadata.name]);
  }
  for (const budget of ofKind('PodDisruptionBudget')) {
    expect(found(budget.spec.selector.matchLabels)).toEqual([budget.metadata.name]);
  }
  const service = named('Service', 'millrace-api');
  expect(found(service.spec.selector)).toEqual(['millrace-api']);
  expect(service.spec.ports[0].targetPort).toBe('http');
  expect(found(named('NetworkPolicy', 'millrace-api').spec.podSelector.matchLabels)).toEqual([
    'millrace-api',
  ]);
});

test('a worker that is taken away has longer than its longest call takes', () => {
  const graceOf = (pod: Pod): number =>
    parseDurationMs(variable(pod, 'MILLRACE_SHUTDOWN_GRACE') ?? '') ?? NaN;
  const settingsOf = named('ConfigMap', 'millrace-settings').data;
  const callMs = parseDurationMs(settingsOf?.MILLRACE_CALL_TIMEOUT ?? '') ?? NaN;
  expect(graceOf(named('Deployment', 'millrace-worker').spec.template.spec)).toBeGreaterThan(callMs);
  for (const { spec } of deployments) {
    // Five seconds after its grace a process ends in any case.
    const graceMs = (spec.template.spec.terminationGracePeriodSeconds ?? NaN) * 1_000;
    expect(graceMs).toBeGreaterThanOrEqual(graceOf(spec.template.spec) + 10_000);
  }
});

test('KEDA asks a route that exists for a number that it answers, and scales the workers, whose number nobody else sets', () => {
  const scaled = named('ScaledObject', 'millrace-worker').spec;
  expect(named('Deployment', scaled.scaleTargetRef.name).spec.replicas).toBeUndefined();
  const [trigger] = scaled.triggers;
  expect(trigger.type).toBe('metrics-api');
  const url = new URL(trigger.metadata.url ?? '');
  expect(Object.keys(createOpenApiDocument('0').paths ?? {})).toContain(url.pathname);
  expect(Object.keys(scalingSchema.shape)).toContain(trigger.metadata.valueLocation);
  const namespace = ofKind('Namespace')[0]!.metadata.name;
  expect(url.hostname).toBe(`millrace-api.${namespace}.svc.cluster.local`);
  expect(Number(url.port || 80)).toBe(named('Service', 'millrace-api').spec.ports[0].port);
  const [reference] = named('TriggerAuthentication', trigger.authenticationRef.name).spec.secretTargetRef;
  expect(reference).toMatchObject({ parameter: 'token', name: secret?.metadata.name });
  expect(Object.keys(secret?.stringData ?? {})).toContain(reference.key);
});
