#!/usr/bin/env bash
# The environments of the libraries that embedstack is compared with, one each, from the package index.
#
#   bench/peers.sh FOLDER               all of them, in FOLDER/{st,fastembed,infinity,torch}
#   bench/peers.sh FOLDER st fastembed  some of them
#
# One that is there already is left as it is. TEI is measured where text-embeddings-router is on the path.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
torch=torch==2.13.0

make() { # make NAME REQUIREMENT...
    name=$1
    shift
    [ -x "$folder/$name/bin/python" ] && { echo "$name: here already"; return; }
    echo "$name: $*"
    "$python" -m venv "$folder/$name"
    "$folder/$name/bin/pip" install --quiet "$@"
}
st() { make st "$torch" "sentence-transformers[onnx,openvino]" pyarrow; }
fastembed() { make fastembed fastembed; }
# Infinity's ONNX engine passes a whole path where later versions of optimum want a name; what is older than NumPy 2 follows
infinity() {
    make infinity "$torch" "infinity-emb[optimum,torch]==0.0.78" "optimum[onnxruntime]<1.25" "transformers<4.50" \
        "numpy<2" "pandas<3" "pyarrow<22"
}
torch() { make torch "$torch" -e "$here[torch]"; }
for one in "${@:-st fastembed infinity torch}"; do
    for name in $one; do "$name"; done
done
