/** For the type checker only: the server gives the package's own file under this name. */
export * from 'spice-client';
