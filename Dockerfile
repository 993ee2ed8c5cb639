# One builder, and a small image for each program:
#
#	docker build --target collector -t packetscope/collector .
#
# For another architecture: docker buildx build --platform linux/arm64 --target collector .
#
# Build arguments: APT_MIRROR replaces scheme and host of every Debian package source (APT_MIRROR=https://mirror.example),
# NPM_REGISTRY is where the web page's build gets its packages from. BASE is the image below all of them. A file
# packaging/docker/ca.pem holds the authorities of a proxy that breaks TLS open, for npm.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS sources
ARG APT_MIRROR=
RUN if [ -n "$APT_MIRROR" ]; then \
		find /etc/apt -name '*.sources' -o -name '*.list' | xargs -r sed -i -E "s#https?://[^/ ]+#${APT_MIRROR}#g"; \
	fi
WORKDIR /src

# The web page. One that was built elsewhere and lies in web/page (the directory web/page of a build) is taken as it is; that saves
# npm, which brings some hundred packages of Debian's.
FROM sources AS page
COPY packaging/setup.sh web/pag[e]/index.html /probe/
RUN test -f /probe/index.html || /probe/setup.sh --unpack page
ARG NPM_REGISTRY=
COPY packaging/setup.sh packaging/docker/ca.pe[m] /probe/
COPY web web
RUN if [ ! -f web/page/index.html ]; then \
		if [ -n "$NPM_REGISTRY" ]; then export npm_config_registry="$NPM_REGISTRY"; fi \
		&& export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
		&& if [ -f /probe/ca.pem ]; then cat /probe/ca.pem >>"$SSL_CERT_FILE"; fi \
		&& web/bundle.sh modules /bundle && web/bundle.sh page /bundle && mv /bundle/page web/; \
	fi

FROM sources AS build
COPY packaging/setup.sh packaging/setup.sh
RUN packaging/setup.sh --unpack programs certificates
COPY . .
COPY --from=page /src/web/page /page
# As everywhere, but without the debugging information, which no image has; and no more than the images take.
RUN cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_FLAGS_RELWITHDEBINFO="-O2 -DNDEBUG" -DPS_TESTS=OFF \
		-DPS_PAGE=/page -DBPFTOOL="$(packaging/setup.sh bpftool)" >/dev/null \
	&& cmake --build /build --target packetscope packetscope-collector packetscope-aggregator packetscope-gateway packetscope-ai-worker \
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
