package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/manifest"
)

// testParser has every shape of flag and command that arrange must tell apart.
func testParser() *cli.App {
	p := &cli.App{
		Name:  "pinfs",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json"}, &cli.StringFlag{Name: "registry"}},
		Commands: []*cli.Command{{
			Name:  "put",
			Flags: []cli.Flag{&cli.StringFlag{Name: "name", Aliases: []string{"n"}}, &cli.BoolFlag{Name: "dry-run"}, &cli.StringSliceFlag{Name: "alias"}},
		}, {
			Name:        "alias",
			Subcommands: []*cli.Command{{Name: "set", Flags: []cli.Flag{&cli.BoolFlag{Name: "force"}}}, {Name: "rm"}},
		}},
		Writer: io.Discard, ErrWriter: io.Discard,
	}
	p.Setup()
	return p
}

func TestArrange(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"put s3://b --name x", "put --name x s3://b"},
		{"put s3://b --name=x", "put --name=x s3://b"},
		{"put -n x s3://b", "put -n x s3://b"},
		{"put a --json b --dry-run", "--json put --dry-run a b"},
		{"--json put a", "--json put a"},
		{"--registry put put a", "--registry put put a"},
		{"put --name put put", "put --name put put"},
		{"put --name alias a --alias set", "put --name alias --alias set a"},
		{"put a --name --dry-run", "put --name --dry-run a"},
		{"put a --name -- b", "put --name -- a b"},
		{"put -- --name x", "put -- --name x"},
		{"put a -- b --json", "put -- a b --json"},
		{"put a -- b", "put a b"},
		{"put - --name x", "put --name x -"},
		{"put a --alias x --alias y", "put --alias x --alias y a"},
		{"put --json=false a", "--json=false put a"},
		{"alias set a b --force --json", "--json alias set --force a b"},
		{"alias --json set a", "--json alias set a"},
		{"alias rm set rm", "alias rm set rm"},
		{"put a --help", "put --help a"},
		{"-h", "-h"},
		{"help put", "help put"},
		{"", ""},
	} {
		args := append([]string{"pinfs"}, strings.Fields(c.args)...)
		got, err := arrange(testParser(), args)
		if err != nil {
			t.Errorf("arrange(%q): %v", c.args, err)
			continue
		}
		if want := append([]string{"pinfs"}, strings.Fields(c.want)...); !slices.Equal(got, want) {
			t.Errorf("arrange(%q): got %q, want %q", c.args, got, want)
		}
	}
}

func TestArrangeKeepsOddArguments(t *testing.T) {
	args := []string{"pinfs", "put", "a b", "", "--name", "", "ü=+%#?", "--alias", "-x"}
	want := []string{"pinfs", "put", "--name", "", "--alias", "-x", "a b", "", "ü=+%#?"}
	got, err := arrange(testParser(), args)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestArrangeRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"putt":             "did you mean put?",
		"put --nam x":      "did you mean --name?",
		"put --force":      "no such flag",
		"--name x put":     "no such flag",
		"put --name":       "needs a value",
		"put a --registry": "needs a value",
		"alias move":       "no such command",
		"put -x":           "no such flag",
		"put ---":          "no such flag",
	} {
		_, err := arrange(testParser(), append([]string{"pinfs"}, strings.Fields(args)...))
		if manifest.KindOf(err) != manifest.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("arrange(%q): got %v, want %q", args, err, want)
		}
	}
}

// TestParserAgrees runs what arrange gave through the parser.
func TestParserAgrees(t *testing.T) {
	p := testParser()
	var name string
	var rest []string
	p.Commands[0].Action = func(c *cli.Context) error {
		name, rest = c.String("name"), c.Args().Slice()
		return nil
	}
	args, err := arrange(p, []string{"pinfs", "put", "one", "--name", "x", "--", "--dry-run", "put"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.RunContext(context.Background(), args); err != nil {
		t.Fatal(err)
	}
	if want := []string{"one", "--dry-run", "put"}; name != "x" || !slices.Equal(rest, want) {
		t.Errorf("got name %q, rest %q, want x, %q", name, rest, want)
	}
}
