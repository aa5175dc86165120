// Its own command line listens on every interface; this listens where nobody but this machine can ask.
import { buildApp } from 'fauxqs'
const port = Number(process.argv[2])
await buildApp({ logger: false }).listen({ port, host: '127.0.0.1' })
