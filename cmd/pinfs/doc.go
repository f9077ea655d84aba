// Command pinfs tracks objects that lie elsewhere as versions of artifacts and
// mounts those versions as read-only directories.
//
// What lives here: one file a subcommand, and what they share:
//
//   - app.go, flags.go, config.go: the global flags, their environment
//     (PINFS_<FLAG>) and the configuration file, in that order of precedence.
//   - args.go: flags may stand anywhere among the arguments.
//   - wire.go: the only place that knows which drivers and registries exist.
//   - exit.go: the one table from manifest.Kind to exit code, and the error line
//     "pinfs: <what>: <which>: <why>; <what to do>".
//   - output.go, progress.go: one JSON value or a table on standard output; bars
//     on standard error when that is a terminal.
//
// Rules: an action parses its arguments, calls a room, prints. Whatever could be
// wanted by another program is not here. Standard output holds results alone.
package main
