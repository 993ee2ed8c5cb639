# One builder, and a small image for each program:
#
#	docker build --target collector -t packetscope/collector .
#
# For another architecture: docker buildx build --platform linux/arm64 --target collector .
#
# Build arguments: APT_MIRROR replaces scheme and host of every Debian package source (APT_MIRROR=https://mirror.example),
# NPM_REGISTRY is where the web page's build gets its packages from. BASE is the image below all of them.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
ARG APT_MIRROR=
ARG NPM_REGISTRY=
ENV npm_config_registry=${NPM_REGISTRY}
RUN if [ -n "$APT_MIRROR" ]; then \
		find /etc/apt -name '*.sources' -o -name '*.list' | xargs -r sed -i -E "s#https?://[^/ ]+#${APT_MIRROR}#g"; \
	fi
COPY packaging/setup.sh /src/packaging/setup.sh
RUN /src/packaging/setup.sh build && apt-get -q install -y --no-install-recommends ca-certificates
COPY . /src
WORKDIR /src
RUN cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPS_TESTS=OFF \
		-DBPFTOOL="$(packaging/setup.sh bpftool)" >/dev/null \
	&& cmake --build /build \
	&& packaging/docker/collect.sh /build/bin /out

FROM ${BASE} AS base
# The same numbers in every image: files and sockets are shared through volumes.
RUN groupadd -g 990 packetscope \
	&& useradd -r -u 990 -g 990 -d /nonexistent -s /usr/sbin/nologin packetscope-aggregator \
	&& useradd -r -u 991 -g 990 -d /nonexistent -s /usr/sbin/nologin packetscope-gateway \
	&& useradd -r -u 992 -g 990 -d /nonexistent -s /usr/sbin/nologin packetscope-ai \
	&& useradd -r -u 993 -g 990 -d /nonexistent -s /usr/sbin/nologin packetscope-cli

FROM base AS collector
COPY --from=build /out/packetscope-collector /
HEALTHCHECK --interval=5s --timeout=4s --retries=3 CMD ["packetscope-collector", "--health"]
ENTRYPOINT ["packetscope-collector"]

FROM base AS aggregator
RUN install -d -o 990 -g 990 -m 0750 /var/lib/packetscope
COPY --from=build /out/packetscope-aggregator /
USER 990:990
HEALTHCHECK --interval=5s --timeout=4s --retries=3 CMD ["packetscope-aggregator", "--health"]
ENTRYPOINT ["packetscope-aggregator"]

FROM base AS gateway
RUN install -d -o 991 -g 990 -m 0750 /var/lib/packetscope
COPY --from=build /out/packetscope-gateway /
USER 991:990
HEALTHCHECK --interval=5s --timeout=4s --retries=3 CMD ["packetscope-gateway", "--health"]
ENTRYPOINT ["packetscope-gateway"]

FROM base AS ai-worker
RUN install -d -o 992 -g 990 -m 0700 /var/lib/packetscope
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/packetscope-ai-worker /
USER 992:990
HEALTHCHECK --interval=5s --timeout=4s --retries=3 CMD ["packetscope-ai-worker", "--health"]
ENTRYPOINT ["packetscope-ai-worker"]

FROM base AS cli
COPY --from=build /out/packetscope /
USER 993:990
ENTRYPOINT ["packetscope"]
