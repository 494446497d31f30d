# A server of models (docs/serving.md), for CPU or CUDA: the wheels of torch bring CUDA's libraries, the host's driver comes with the
# container runtime. Not built where this was written.
#   docker build -t eocore-serve .
#   docker build -t eocore-serve --build-arg TORCH_INDEX_URL=https://download.pytorch.org/whl/cu128 .
ARG PYTHON=3.11
FROM python:${PYTHON}-slim

ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
ARG EXTRAS=web,search,scenes,earthfm
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1

WORKDIR /opt/eocore
COPY . .
# torch first and then pinned, so that nothing exchanges it; OpenCV, which mmengine asks for, in the build that needs no libGL
RUN pip install --index-url "$TORCH_INDEX_URL" "$(grep -E '^torch==' constraints.txt)" \
    && grep -v -E '^torch==' constraints.txt > /tmp/pins.txt \
    && python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' >> /tmp/pins.txt \
    && pip install -c /tmp/pins.txt ".[$EXTRAS]" \
    && pip uninstall -y opencv-python \
    && pip install --no-deps "$(sed -n 's/^opencv-python==/opencv-python-headless==/p' constraints.txt)" \
    && rm -rf /opt/eocore/* /tmp/pins.txt

RUN useradd --create-home --uid 10001 server
USER server
WORKDIR /home/server
EXPOSE 8000
# inside a container only the published port reaches the server; compose.yaml publishes it on the host's loopback alone
ENTRYPOINT ["eo", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--help"]
