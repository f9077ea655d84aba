package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/daemon"
)

// settings tell how sources are asked, so that a mount does not get the answers
// of another's endpoint or credentials. They are shown: of an access key there
// is a hash only.
func settings(c *cli.Context) daemon.Settings {
	s := daemon.Settings{}
	put := func(name, value string) {
		if value != "" {
			s[name] = value
		}
	}
	put(flagS3Endpoint, first(c.String(flagS3Endpoint), env("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_S3_ENDPOINT_URL")))
	put(flagS3Region, first(c.String(flagS3Region), env("AWS_REGION", "AWS_DEFAULT_REGION")))
	for _, name := range []string{flagOffline, flagS3PathStyle, flagS3Anonymous, flagS3Pays} {
		if c.IsSet(name) && (c.Bool(name) || name == flagS3PathStyle) {
			put(name, strconv.FormatBool(c.Bool(name)))
		}
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN"} {
		put(name, os.Getenv(name))
	}
	if key := os.Getenv("AWS_ACCESS_KEY_ID"); key != "" {
		sum := sha256.Sum256([]byte(key))
		put("access key", hex.EncodeToString(sum[:4]))
	}
	return s
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
