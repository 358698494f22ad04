import { CONDITIONS, PERMISSIONS } from '../../vm/types.ts';
import type { Schema } from './schema.ts';

const string: Schema = { type: 'string' };
const size: Schema = { type: 'intOrString' };
const strings: Schema = { type: 'array', items: string };
/** Told to `kubectl explain`; what is in it is not looked at. */
const open: Schema = { type: 'object' };

const permissions = (known: readonly string[], may: string[]): Schema => ({
  type: 'array',
  items: {
    type: 'object',
    exactlyOne: ['user', 'role'],
    properties: {
      user: string,
      role: string,
      may: { type: 'array', items: { type: 'string', enum: [...known, '*'] }, default: may },
    },
  },
});

/** A pool's grants know it only as a part of `*`. */
const POOL_PERMISSIONS = PERMISSIONS.filter((permission) => permission !== 'takeConsole');

const display: Schema = {
  type: 'object',
  properties: {
    outputs: { type: 'integer' },
    loggedInUser: string,
    spice: {
      type: 'object',
      properties: {
        port: { type: 'integer', default: 5900 },
        server: string,
        proxyUrl: string,
        generateSecret: { type: 'boolean', default: true },
        streamingVideo: string,
        usbRedirects: { type: 'integer', default: 2 },
      },
    },
  },
};

const vmSpec: Schema = {
  type: 'object',
  required: ['vm'],
  properties: {
    guestShutdownStops: { type: 'boolean', default: false },
    pools: { ...strings, default: [] },
    permissions: { ...permissions(PERMISSIONS, []), default: [] },
    image: open,
    nodeName: string,
    nodeSelector: open,
    affinity: open,
    resources: open,
    cloudInit: { type: 'object', properties: { metaData: open, userData: open, networkConfig: open } },
    vm: {
      type: 'object',
      exactlyOne: ['maximumCpus', 'cpuTopology'],
      properties: {
        state: { type: 'string', enum: ['Stopped', 'Running'], default: 'Stopped' },
        maximumCpus: { type: 'integer', minimum: 1 },
        currentCpus: { type: 'integer', minimum: 1 },
        cpuTopology: open,
        maximumRam: { ...size, default: '1G' },
        currentRam: size,
        powerdownTimeout: { type: 'integer', default: 900 },
        display,
      },
    },
  },
};

/** A VM's conditions before its operator has looked at it. */
const initialConditions = CONDITIONS.map((type) => ({
  type,
  status: 'False',
  observedGeneration: 1,
  lastTransitionTime: '1970-01-01T00:00:00Z',
  reason: 'Creation',
  message: 'Created',
}));

const vmStatus: Schema = {
  type: 'object',
  default: {},
  properties: {
    runnerVersion: string,
    cpus: { type: 'integer' },
    ram: size,
    consoleClient: string,
    consoleUser: string,
    loggedInUser: string,
    displayPasswordSerial: { type: 'integer' },
    osinfo: { type: 'object' },
    assignment: {
      type: 'object',
      default: {},
      properties: { pool: string, user: string, lastUsed: string },
    },
    conditions: {
      type: 'array',
      default: initialConditions,
      items: {
        type: 'object',
        required: ['type', 'status', 'lastTransitionTime', 'reason', 'message'],
        properties: {
          type: string,
          status: { type: 'string', enum: ['True', 'False', 'Unknown'] },
          observedGeneration: { type: 'integer' },
          lastTransitionTime: string,
          reason: string,
          message: string,
        },
      },
    },
  },
};

export const VM_SCHEMA: Schema = {
  type: 'object',
  required: ['spec'],
  properties: { spec: vmSpec, status: vmStatus },
};

const DATE = String.raw`\d{4}-\d{2}-\d{2}`;
const TIME = String.raw`\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}(:?\d{2})?)`;
const DAYS = String.raw`(\d+Y)?(\d+M)?(\d+W)?(\d+D)?`;
const HOURS = String.raw`(\d+[Hh])?(\d+[Mm])?(\d+(\.\d+)?[Ss])?`;
/** An ISO 8601 time, or a duration, whose years, months and weeks the operator refuses only later. */
const RETENTION = `^(${DATE}T${TIME}|P${DAYS}(T${HOURS})?)$`;

export const VM_POOL_SCHEMA: Schema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['permissions'],
      properties: {
        retention: { type: 'string', pattern: RETENTION, default: 'PT1h' },
        loginOnAssignment: { type: 'boolean', default: false },
        permissions: permissions(POOL_PERMISSIONS, ['accessConsole']),
      },
    },
  },
};

const reference: Schema = { type: 'object', properties: { kind: string, namespace: string, name: string } };

export const EVENT_SCHEMA: Schema = {
  type: 'object',
  properties: { involvedObject: reference, reason: string, message: string, type: string },
};

/** The newer API asks for what the older one left open. */
export const NEW_EVENT_SCHEMA: Schema = {
  type: 'object',
  required: ['eventTime', 'reportingController', 'reportingInstance', 'action', 'reason', 'type'],
  properties: {
    regarding: reference,
    eventTime: string,
    reportingController: string,
    reportingInstance: string,
    action: string,
    reason: string,
    note: string,
    type: { type: 'string', enum: ['Normal', 'Warning'] },
  },
};

export const POD_SCHEMA: Schema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['containers'],
      properties: {
        containers: {
          type: 'array',
          items: { type: 'object', required: ['name'], properties: { name: string } },
        },
      },
    },
  },
};

export const OPEN_SCHEMA: Schema = { type: 'object' };
