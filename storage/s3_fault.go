package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// answered is a server's refusal, in its own words.
type answered struct {
	status  int
	code    string
	message string
	err     error // the client's
}

func (a *answered) Error() string {
	if a.code == "" {
		return fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	}
	return fmt.Sprintf("%d %s (%s)", a.status, a.code, a.message)
}

func (a *answered) Unwrap() error { return a.err }

// plain takes the client's frame (which operation, how often, the request's
// number) off an error, and has a missing object match ErrNotFound. What it
// returns holds no header and so no secret.
func plain(err error) error {
	if isNoKey(err) {
		return ErrNotFound
	}
	if status := statusOf(err); status != 0 {
		a := &answered{status: status, err: err}
		if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() != "UnknownError" {
			a.code, a.message = api.ErrorCode(), api.ErrorMessage()
		}
		return a
	}
	if u, ok := errors.AsType[*url.Error](err); ok && !errors.Is(err, context.Canceled) {
		return u.Err
	}
	if m, ok := errors.AsType[*retry.MaxAttemptsError](err); ok {
		return m.Err
	}
	return err
}

// statusOf is the HTTP status of the answer that made an error; 0 where no
// answer came.
func statusOf(err error) int {
	if r, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return r.HTTPStatusCode()
	}
	return 0
}

// isNoKey tells an object that isn't there from a bucket that isn't.
func isNoKey(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == "NoSuchKey"
}

// isNoUser tells a 404 of versitygw's that is about the access key.
func isNoUser(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == "XAdminUserNotFound"
}

// Hopeless tells errors that somebody has to mend, such as a full disk or a
// missing right, from those that pass by themselves.
func Hopeless(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	a, ok := errors.AsType[*answered](err)
	if !ok {
		return false
	}
	switch a.status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	case http.StatusInsufficientStorage, http.StatusNotImplemented:
		return true
	}
	return a.status < 500
}
