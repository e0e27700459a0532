"""The pages that IIS and ASP.NET answer with where the ERP's API itself does not: plain text and HTML.

Only their titles and messages follow what live instances report; the styling is not reproduced.
"""

from html import escape

LOGIN_LIMIT = "API Login Limit"
USER_LIMIT = "The number of concurrent API logins has been reached. See the Users (SM201010) form."
IIS_TEXT = "The custom error module does not recognize this error."


def iis_page(title: str, text: str) -> str:
    """An error page of IIS itself, as its front end sends before any application runs."""
    return (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">\r\n'
        f"<HTML><HEAD><TITLE>{escape(title)}</TITLE>\r\n"
        '<META HTTP-EQUIV="Content-Type" Content="text/html; charset=us-ascii"></HEAD>\r\n'
        f"<BODY><h2>{escape(title)}</h2>\r\n<hr><p>{escape(text)}</p>\r\n</BODY></HTML>\r\n"
    )


def aspnet_page(message: str, exception: str, frame: str) -> str:
    """An unhandled exception as ASP.NET shows it: the message is the title."""
    return (
        f"<!DOCTYPE html>\r\n<html>\r\n<head><title>{escape(message)}</title></head>\r\n"
        "<body bgcolor=\"white\">\r\n<h1>Server Error in '/' Application.<hr></h1>\r\n"
        f"<h2><i>{escape(message)}</i></h2>\r\n<b>Exception Details: </b>{escape(exception)}: {escape(message)}\r\n"
        f"<b>Stack Trace:</b>\r\n<pre>[{escape(exception)}: {escape(message)}]\r\n   {escape(frame)}</pre>\r\n"
        "</body>\r\n</html>\r\n"
    )


def login_limit_page() -> str:
    """The license's login limit (reported by live instances: the title is the only message)."""
    return aspnet_page(
        LOGIN_LIMIT, "PX.Data.PXException", "PX.LicensePolicy.PXLicensePolicy.CheckApiUsersLimits()"
    )


def dangerous_path_page(character: str) -> str:
    """A path that ASP.NET does not let through."""
    return aspnet_page(
        f"A potentially dangerous Request.Path value was detected from the client ({character}).",
        "System.Web.HttpException",
        "System.Web.HttpRequest.ValidateInputIfRequiredByConfig()",
    )


def error_form(message: str) -> str:
    """The ERP's own error form, to which a browser is redirected: a page, with status 200."""
    return (
        "<!DOCTYPE html>\r\n<html><head><title>Error</title></head>\r\n"
        f'<body><form id="form1"><span id="message">{escape(message)}</span></form></body></html>\r\n'
    )


def identity_error(error: str, words: str) -> str:
    """The identity server's own error page, for a client that it does not send anybody back to."""
    return (
        "<!DOCTYPE html>\r\n<html><head><title>Error</title></head>\r\n"
        f"<body><h1>Error</h1>\r\n<p>{escape(error)}</p>\r\n<p>{escape(words)}</p></body></html>\r\n"
    )


def sign_in_page(action: str, words: str) -> str:
    """The identity server's sign-in page, with what went wrong at the last try."""
    return (
        "<!DOCTYPE html>\r\n<html><head><title>Sign In</title></head>\r\n<body><h1>Sign In</h1>\r\n"
        f'<p id="error">{escape(words)}</p>\r\n<form method="post" action="{escape(action)}">\r\n'
        '<label>Username <input name="username" autocomplete="username"></label>\r\n'
        '<label>Password <input name="password" type="password" autocomplete="current-password"></label>\r\n'
        '<button name="answer" value="allow">Sign In</button>\r\n'
        '<button name="answer" value="deny">Cancel</button>\r\n</form></body></html>\r\n'
    )
