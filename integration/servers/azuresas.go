package servers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	sasVersion = "2021-06-08"
	sasTime    = "2006-01-02T15:04:05Z"
)

// SAS gives a token, without a question mark, that may read and list all of the
// account's blobs until expiry.
func (s *Azure) SAS(t testing.TB, expiry time.Time) string {
	t.Helper()
	token, err := s.accountSAS(expiry)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// accountSAS signs as "Create an account SAS" of Azure Storage's reference says.
func (s *Azure) accountSAS(expiry time.Time) (string, error) {
	key, err := base64.StdEncoding.DecodeString(s.Key)
	if err != nil {
		return "", err
	}
	const permissions, services, resources, protocols = "rl", "b", "sco", "https,http"
	until := expiry.UTC().Format(sasTime)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.Join([]string{
		s.Account, permissions, services, resources, "", until, "", protocols, sasVersion, "", "",
	}, "\n")))
	return url.Values{
		"sv": {sasVersion}, "ss": {services}, "srt": {resources}, "sp": {permissions}, "se": {until}, "spr": {protocols},
		"sig": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}.Encode(), nil
}
