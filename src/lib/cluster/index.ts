export { ApiError, isStatus } from './api-error.ts';
export { openCluster, type ClusterOptions } from './client.ts';
export type { PluginTerminal } from './exec-plugin.ts';
export { credentialsFingerprint } from './fingerprint.ts';
export { loadKubeconfig, type Kubeconfig, type KubeconfigSource } from './kubeconfig.ts';
export { modify } from './modify.ts';
export type * from './types.ts';
