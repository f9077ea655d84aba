package azgate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const serviceVersion = "2023-11-03" // of requests that name none

// Credential is a storage account with its key, in base64.
type Credential struct{ Account, Key string }

// Sign dates the request and puts a Shared Key signature on it; see "Authorize
// with Shared Key" of Azure Storage's reference.
func (c Credential) Sign(r *http.Request) error {
	r.Header.Del("Date")
	r.Header.Set("X-Ms-Date", time.Now().UTC().Format(http.TimeFormat))
	if r.Header.Get("X-Ms-Version") == "" {
		r.Header.Set("X-Ms-Version", serviceVersion)
	}
	auth, err := c.authorization(r)
	if err == nil {
		r.Header.Set("Authorization", auth)
	}
	return err
}

// signed says whether the request has this credential's signature.
func (c Credential) signed(r *http.Request) bool {
	want, err := c.authorization(r)
	return err == nil && hmac.Equal([]byte(want), []byte(r.Header.Get("Authorization")))
}

func (c Credential) authorization(r *http.Request) (string, error) {
	key, err := base64.StdEncoding.DecodeString(c.Key)
	if err != nil {
		return "", fmt.Errorf("key of account %s is no base64", c.Account)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(c.stringToSign(r)))
	return "SharedKey " + c.Account + ":" + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

func (c Credential) stringToSign(r *http.Request) string {
	length := ""
	if r.ContentLength > 0 {
		length = strconv.FormatInt(r.ContentLength, 10)
	}
	h := r.Header.Get
	lines := []string{r.Method, h("Content-Encoding"), h("Content-Language"), length, h("Content-Md5"), h("Content-Type"), h("Date"),
		h("If-Modified-Since"), h("If-Match"), h("If-None-Match"), h("If-Unmodified-Since"), h("Range")}
	lines = append(lines, canonicalHeader(r.Header)...)
	lines = append(lines, "/"+c.Account+r.URL.EscapedPath())
	lines = append(lines, canonicalQuery(r.URL.Query())...)
	return strings.Join(lines, "\n")
}

func canonicalHeader(h http.Header) (lines []string) {
	for name, values := range h {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-ms-") {
			lines = append(lines, lower+":"+strings.TrimSpace(strings.Join(values, ",")))
		}
	}
	slices.Sort(lines)
	return lines
}

func canonicalQuery(q url.Values) (lines []string) {
	for name, values := range q {
		lines = append(lines, strings.ToLower(name)+":"+strings.Join(slices.Sorted(slices.Values(values)), ","))
	}
	slices.Sort(lines)
	return lines
}
