package main

import (
	"os"
	"os/user"
	"strconv"
)

// by says who makes a version: user@host.
func by() string {
	name := "uid " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}
