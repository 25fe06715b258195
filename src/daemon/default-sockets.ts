/*
 * Where the control sockets are unless the configuration says otherwise. Apart from the schema, so that a command that only
 * asks a daemon does not load it.
 */
export const DEFAULT_HOST_SOCKET = '/run/kagemusha/host.sock';
export const DEFAULT_HOME_AGENT_SOCKET = '/run/kagemusha/ha.sock';
