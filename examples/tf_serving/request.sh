#!/bin/sh
# TF Serving 2.19: sends a photograph, gets labels and scores.
#   request.sh RUN/export/saved_model photo.jpg
set -eu
model=$(realpath "$1") photo=$2
docker run --rm -d --name googlenet -p 8501:8501 \
    -v "$model:/models/googlenet/1:ro" -e MODEL_NAME=googlenet tensorflow/serving:2.19.1
trap 'docker stop googlenet' EXIT
until curl -sf localhost:8501/v1/models/googlenet >/dev/null; do sleep 1; done
printf '{"signature_name": "serve_bytes", "instances": [{"image_bytes": {"b64": "%s"}}]}' \
    "$(base64 -w0 "$photo")" |
    curl -s -d @- localhost:8501/v1/models/googlenet:predict
