package phoenixotel

// VersionIn is for tests of the version of the instrumentation scope.
var VersionIn = versionIn
