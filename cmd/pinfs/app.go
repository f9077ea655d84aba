package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// app is one run of the command.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	log            *slog.Logger    // set once the flags are known
	rules          *backends.Rules // as log
	ballast        []byte          // kept as long as the process works; see limitHeap
}

// run does what args say and gives the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	out := &checkedWriter{w: a.stdout}
	a.stdout = out
	err := a.do(ctx, args)
	if err == nil {
		err = out.err
	}
	// A canceled command ends as one, however the error that this caused looks.
	if err != nil && ctx.Err() != nil && manifest.KindOf(err) != manifest.KindCanceled {
		err = &manifest.Error{Kind: manifest.KindCanceled, Msg: "interrupted", Err: err}
	}
	if text := a.lastWord(err); text != "" {
		fmt.Fprintln(a.stderr, text)
	}
	return exitCode(err)
}

// lastWord is the error line, "" when all is said.
func (a *app) lastWord(err error) string {
	var partly *partlyDone
	var halfway *stopped
	switch {
	case err == nil, errors.Is(err, errAgain):
		return ""
	case errors.As(err, &halfway):
		return halfway.text
	case errors.As(err, &partly):
		return errorLine(err)
	case manifest.KindOf(err) == manifest.KindCanceled:
		return "pinfs: interrupted"
	}
	return errorLine(err)
}

func (a *app) do(ctx context.Context, args []string) error {
	if err := unsetEmpty(append(globalFlags(), recordFlags()...)); err != nil {
		return err
	}
	parser := a.parser()
	parser.Setup() // adds help, which arrange must know
	if !completing(args) {
		var err error
		if args, err = arrange(parser, args); err != nil {
			return err
		}
	}
	err := parser.RunContext(ctx, args)
	var parsing cli.ExitCoder // what the parser says by itself
	if errors.As(err, &parsing) {
		return usage("help", "", err.Error(), "see pinfs --help")
	}
	return err
}

// completing is true for the call that a shell's completion makes.
func completing(args []string) bool {
	return len(args) > 1 && args[len(args)-1] == "--"+cli.BashCompletionFlag.Names()[0]
}

// parser is the whole command line.
func (a *app) parser() *cli.App {
	flags := globalFlags()
	return &cli.App{
		Name:                      "pinfs",
		Usage:                     "mounts versions of reference artifacts as read-only directories",
		Description:               description(),
		Version:                   buildName(),
		Flags:                     flags,
		Commands:                  a.commands(),
		Writer:                    a.stdout,
		ErrWriter:                 a.stderr,
		EnableBashCompletion:      true,
		DisableSliceFlagSeparator: true,
		Before:                    func(c *cli.Context) error { return a.prepare(c, flags) },
		OnUsageError:              onUsageError,
		ExitErrHandler:            func(*cli.Context, error) {},
	}
}

func description() string {
	return strings.TrimSpace(`
A version of an artifact is a list of pins: path, object, which exact version of
it, size, digest. A reference to one is [PROJECT/]ARTIFACT[:vN|:ALIAS], without
either the latest. Sizes are like 10G or 512MiB. URIs are s3://BUCKET/PREFIX,
gs://BUCKET/PREFIX, https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX (or
azblob://ACCOUNT/CONTAINER/PREFIX), http(s)://HOST/FILE, file:///DIR or a path.

Each global flag may come from the environment (PINFS_REGISTRY for --registry)
or from pinfs.yaml in $XDG_CONFIG_HOME/pinfs or /etc/pinfs ("registry: URL").
Flags may stand before or after arguments; "--" ends them.

Example: pinfs put --name default/mnist --type dataset s3://bucket/mnist
         pinfs mount mnist:v0 /mnt/mnist

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 no such name; 4 source or registry
unreachable or denied; 5 content changed or corrupt; 6 partly done (some files
failed); 7 limit reached; 130 interrupted.`)
}

// commands are all subcommands, in the order of the help.
func (a *app) commands() []*cli.Command {
	commands := []*cli.Command{
		a.putCommand(), a.lsCommand(), a.showCommand(), a.diffCommand(), a.aliasCommand(),
		a.getCommand(), a.verifyCommand(), a.exportCommand(), a.importCommand(),
		a.mountCommand(), a.umountCommand(), a.warmCommand(), a.statusCommand(), a.upgradeCommand(), a.versionCommand(),
		a.ownCommand(), a.daemonCommand(), a.listAheadCommand(),
	}
	for _, c := range commands {
		for _, one := range append(c.Subcommands, c) {
			one.HideHelpCommand = true
			one.OnUsageError = onUsageError
		}
	}
	return commands
}

// onUsageError words what the parser refuses: a value of the wrong type.
func onUsageError(c *cli.Context, err error, _ bool) error {
	return usage(c.Command.Name, "", err.Error(), "see "+strings.TrimSpace(c.Command.HelpName)+" --help")
}

// prepare reads the configuration and starts the log.
func (a *app) prepare(c *cli.Context, flags []cli.Flag) error {
	if err := readConfig(c, flags); err != nil {
		return err
	}
	if err := checkSources(c); err != nil {
		return err
	}
	var err error
	if a.rules, err = parseRules(c); err != nil {
		return err
	}
	a.log, err = newLogger(a.stderr, c.String(flagLogLevel), c.String(flagLogFormat), slog.LevelWarn)
	return err
}

// checkSources refuses flags of sources that no driver could use, before any is
// asked.
func checkSources(c *cli.Context) error {
	if err := exportSecrets(c); err != nil {
		return err
	}
	if _, err := parseHeaders(c); err != nil {
		return err
	}
	_, err := shareTimeout(c)
	return err
}

// positional gives the arguments, which must be between least and most.
func positional(c *cli.Context, least, most int) ([]string, error) {
	args := c.Args().Slice()
	hint := "usage: " + c.Command.HelpName + " " + c.Command.ArgsUsage
	op := strings.TrimPrefix(c.Command.HelpName, "pinfs ")
	switch {
	case len(args) < least:
		return nil, usage(op, "", "an argument is missing", hint)
	case most >= 0 && len(args) > most:
		return nil, usage(op, args[most], "one argument too many", hint)
	}
	return args, nil
}
