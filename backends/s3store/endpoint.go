package s3store

import (
	"net/url"
	"strings"
)

// pathStyle tells whether the bucket goes into the path.
func pathStyle(o Options, endpoint *string) bool {
	if o.PathStyle != nil {
		return *o.PathStyle
	}
	if endpoint == nil {
		return false // the SDK still does it for bucket names with dots
	}
	u, err := url.Parse(*endpoint)
	return err != nil || !hostStyle(u.Hostname())
}

// hostStyle tells whether a custom endpoint wants the bucket in the host name:
// Amazon's own (of a VPC, FIPS, dual stack), and the object stores that answer
// no other style. W&B treats CoreWeave's the same way.
func hostStyle(host string) bool {
	for _, domain := range []string{"amazonaws.com", "amazonaws.com.cn", "cwobject.com", "cwlota.com", "aliyuncs.com", "myqcloud.com"} {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}
