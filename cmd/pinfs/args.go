package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/manifest"
)

// arrange puts args into the order that the parser wants: global flags, the
// command, its flags, then what is left. The parser ends flags at the first
// argument that is none; people write `pinfs mount P DIR --foreground`.
//
// A "--" ends the flags here too. A flag that nobody knows is refused here, with
// the nearest one that exists.
func arrange(root *cli.App, args []string) ([]string, error) {
	r := &arranger{root: root, commands: root.Commands}
	for i := 1; i < len(args); i++ {
		used, err := r.take(args[i], args[i+1:])
		if err != nil {
			return nil, err
		}
		i += used
	}
	return r.ordered(args[0]), nil
}

// arranger holds the arguments, sorted into the four places that they may have.
type arranger struct {
	root     *cli.App
	commands []*cli.Command // what may come next, while a command is awaited
	cmd      *cli.Command   // nil until there is one

	globals, path, flags, rest []string
}

// take sorts in one argument; rest is what follows it. It says how many of
// those it used up too.
func (r *arranger) take(arg string, rest []string) (int, error) {
	switch {
	case arg == "--" && r.cmd != nil:
		r.rest = append(r.rest, rest...)
		return len(rest), nil
	case len(arg) > 1 && arg[0] == '-':
		return r.takeFlag(arg, rest)
	case len(r.commands) > 0:
		return 0, r.takeCommand(arg)
	}
	r.rest = append(r.rest, arg)
	return 0, nil
}

func (r *arranger) takeCommand(name string) error {
	cmd := find(r.commands, name)
	if cmd == nil {
		hint := didYouMean(name, "", commandNames(r.commands)) + r.seeHelp()
		which := strings.Join(append(r.path, name), " ")
		return usage("command", which, "no such command", hint)
	}
	r.cmd, r.commands = cmd, cmd.Subcommands
	r.path = append(r.path, cmd.Name)
	return nil
}

// takeFlag finds the flag, and its value when that is the next argument. A value
// is taken whatever it looks like, as every Go program does.
func (r *arranger) takeFlag(arg string, rest []string) (int, error) {
	name, _, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	place, flag := &r.flags, (cli.Flag)(nil)
	if r.cmd != nil {
		flag = findFlag(r.cmd.Flags, name)
	}
	if flag == nil {
		place, flag = &r.globals, findFlag(r.root.Flags, name)
	}
	if r.cmd != nil && isHelp(name) {
		place, flag = &r.flags, cli.HelpFlag
	}
	if flag == nil {
		return 0, r.unknownFlag(arg, name)
	}
	*place = append(*place, arg)
	if joined || !takesValue(flag) {
		return 0, nil
	}
	if len(rest) == 0 {
		return 0, usage(r.op(), "--"+name, "the flag needs a value", r.seeHelp())
	}
	*place = append(*place, rest[0])
	return 1, nil
}

func (r *arranger) unknownFlag(arg, name string) error {
	known := flagNames(r.root.Flags)
	if r.cmd != nil {
		known = append(known, flagNames(r.cmd.Flags)...)
	}
	hint := didYouMean(name, "--", known) + r.seeHelp()
	return usage(r.op(), strings.SplitN(arg, "=", 2)[0], "no such flag", hint)
}

// ordered gives the arguments as the parser wants them.
func (r *arranger) ordered(program string) []string {
	out := append([]string{program}, r.globals...)
	out = append(out, r.path...)
	out = append(out, r.flags...)
	for _, arg := range r.rest {
		if strings.HasPrefix(arg, "-") && arg != "-" {
			out = append(out, "--")
			break
		}
	}
	return append(out, r.rest...)
}

// op is the command as error lines name it.
func (r *arranger) op() string {
	if len(r.path) == 0 {
		return "flag"
	}
	return strings.Join(r.path, " ")
}

func (r *arranger) seeHelp() string {
	return "see " + strings.Join(append([]string{"pinfs"}, r.path...), " ") + " --help"
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name {
				return f
			}
		}
	}
	return nil
}

func isHelp(name string) bool { return name == "help" || name == "h" }

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return !ok || d.TakesValue()
}

func commandNames(commands []*cli.Command) []string {
	var names []string
	for _, c := range commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names
}

func flagNames(flags []cli.Flag) []string {
	var names []string
	for _, f := range flags {
		names = append(names, f.Names()[0])
	}
	return names
}

// didYouMean is the start of a hint: the candidates that typed may stand for.
func didYouMean(typed, prefix string, candidates []string) string {
	near := manifest.Near(typed, candidates)
	if len(near) == 0 {
		return ""
	}
	return "did you mean " + prefix + strings.Join(near, " or "+prefix) + "? "
}
