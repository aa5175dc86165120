// Its own command line listens on every interface; this listens where nobody but this machine can ask.
import { buildApp } from 'fauxqs'
const [port, host = '127.0.0.1'] = process.argv.slice(2)
await buildApp({ logger: false }).listen({ port: Number(port), host })
