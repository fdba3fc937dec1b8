"""run() takes text and the headers, and returns responses of its own: those that RESPONSES has by that name."""

from azureml_inference_server_http.api.aml_response import AMLResponse

RESPONSES = {
    "text": ("a page", 200),
    "bytes": (b"\x00\xff", 200, {"Content-Type": "image/png"}),
    "json": ({"a": [1, 2.5]}, 200, {}, True),
    "created": ("made", 201, {"Location": "/somewhere"}),
    "nothing": (None, 200),
    "no content": ("", 204),
    "moved": ("", 302, {"Location": "/somewhere"}),
    "bad request": ("not so", 400),
    "refused": ({"why": "no"}, 403, {}, True),
    "teapot": ("short and stout", 418),
    "failed": ("sorry", 500),
    "overloaded": ("later", 503, {"Retry-After": "7"}),
    "failed well": ("sorry", 200, {}, False, True),
    "headers": ("", 200, {"X-Case-One": "1", "x-case-two": "two words"}),
    "several": ("", 200, {"X-Case-Many": "a, b,c"}),
    "csv": ("a,b\n1,2\n", 200, {"Content-Type": "text/csv"}),
}


def init():
    pass


def run(raw_data, request_headers):
    if raw_data == "all headers":
        return request_headers
    if raw_data == "headers of the request":
        return {name: value for name, value in request_headers.items() if name.startswith(("X-Case", "Content-Type"))}
    return AMLResponse(*RESPONSES[raw_data])
