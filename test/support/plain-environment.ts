// The test runner hooks itself into every Node process by NODE_OPTIONS. The daemons under test are not to be changed by
// it, nor to fail at it (another user may not read this checkout): import this before starting any.
delete process.env.NODE_OPTIONS;
