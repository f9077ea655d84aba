package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/daemon"
)

// settings tell how sources are asked, so that a mount does not get the answers
// of another's endpoint or credentials. They are shown: of a secret there is a
// hash only.
func settings(c *cli.Context) daemon.Settings {
	s := shown{}
	s.put(flagOffline, flagText(c, flagOffline))
	s3Settings(c, s)
	gsSettings(c, s)
	azSettings(c, s)
	httpSettings(c, s)
	ruleSettings(c, s)
	s.put(flagShareTimeout, c.String(flagShareTimeout))
	return daemon.Settings(s)
}

// shown are settings that are being gathered.
type shown daemon.Settings

func (s shown) put(name, value string) {
	if value != "" {
		s[name] = value
	}
}

// variables puts the values of environment variables that hold no secrets.
func (s shown) variables(names ...string) {
	for _, name := range names {
		s.put(name, os.Getenv(name))
	}
}

// secret puts a short hash of values, which tells them from others.
func (s shown) secret(name string, values ...string) {
	text := strings.Join(values, "\n")
	if strings.Trim(text, "\n") == "" {
		return
	}
	sum := sha256.Sum256([]byte(text))
	s.put(name, hex.EncodeToString(sum[:4]))
}

// flagText gives a boolean flag that was given and is on.
func flagText(c *cli.Context, name string) string {
	if !c.Bool(name) {
		return ""
	}
	return strconv.FormatBool(true)
}

// env gives the first of the variables that is set.
func env(names ...string) string {
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
