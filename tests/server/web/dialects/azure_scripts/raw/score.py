"""run() takes the whole request and tells what it finds in it."""

from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    pass


@rawhttp
def run(request: AMLRequest):
    if request.method == "OPTIONS":
        return AMLResponse("", 200, {"X-Case-Allow": "POST"})
    if request.args.get("want") == "bytes":
        return AMLResponse(request.get_data(False)[::-1], 200, {"Content-Type": request.content_type or "none/none"})
    if request.args.get("want") == "json":
        return {"is_json": request.is_json, "json": request.get_json(silent=True)}
    if request.args.get("want") == "error":
        return request.get_json()
    return {
        "method": request.method,
        "path": request.path,
        "full_path": request.full_path,
        "args": request.args.to_dict(flat=False),
        "size": len(request.get_data(parse_form_data=True)),
        "form": request.form.to_dict(flat=False),
        "files": {name: [sent.filename, sent.read().decode()] for name, sent in request.files.items()},
        "type": request.mimetype,
        "case": request.headers.get("x-case"),
        "host": bool(request.host),
    }
