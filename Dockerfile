# One image, three commands: api (the default), worker, scheduler. See docker-compose.yml.
#
#   docker build -t millrace .
#   docker run millrace node apps/worker/src/main.ts

# What npm needs to know and nothing else, so that a change of source does not install everything again.
FROM node:24-slim AS manifests
WORKDIR /millrace
COPY . .
RUN find . -type f ! -name package.json ! -name package-lock.json ! -name .npmrc -delete \
 && find . -type d -empty -delete

# The packages of the three apps and of the libraries they use. The manifests of infra and test must be there for the
# lock file to fit, but nothing of theirs is installed, and no development package (the image brings its own Node).
FROM node:24-slim AS packages
WORKDIR /millrace
COPY --from=manifests /millrace ./
RUN npm ci --omit=dev --ignore-scripts \
      --workspace=@millrace/api --workspace=@millrace/worker --workspace=@millrace/scheduler \
 && npm cache clean --force \
 && rm -rf infra test examples

FROM node:24-slim
ENV NODE_ENV=production \
    MILLRACE_HOST=0.0.0.0
WORKDIR /millrace
COPY --from=packages /millrace ./
# Node runs the TypeScript as it is: there is no build.
COPY apps apps
COPY libs libs
COPY LICENSE NOTICE ./
# The place of the blob store, where one is mounted: it must belong to the user.
RUN mkdir /blobs && chown node:node /blobs
# A user without rights, and files that are not his.
USER node
EXPOSE 8080
# /livez of the API, or of a worker or scheduler that was given MILLRACE_OPERATIONS_PORT.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.MILLRACE_OPERATIONS_PORT || process.env.MILLRACE_PORT || 8080}/livez`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "apps/api/src/main.ts"]
