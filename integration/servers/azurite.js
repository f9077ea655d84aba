// Loaded before Azurite. Its telemetry, which is off, takes two thirds of the time
// that it needs to start; without it nothing can leave this host either.
const Module = require('module');
const load = Module._load;
Module._load = function (name, ...rest) {
	return name === 'applicationinsights' ? {} : load.call(this, name, ...rest);
};
