"""GET /: where to go from here."""

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from ..version import VERSION

router = APIRouter(include_in_schema=False)

PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>fewstep</title>
<h1>fewstep {VERSION}</h1>
<p>Images from diffusion models in as few network evaluations as possible.</p>
<pre>curl -s http://127.0.0.1:8000/generate -H 'Content-Type: application/json' \\
     -H 'Accept: image/png' -d '{{"class_id": 7, "steps": 8}}' -o seven.png</pre>
<p><a href="docs">The routes</a> · <a href="models">models</a> · <a href="solvers">solvers</a> ·
<a href="metrics">metrics</a></p>
</html>
"""


@router.get("/")
async def index() -> HTMLResponse:
    return HTMLResponse(PAGE)
