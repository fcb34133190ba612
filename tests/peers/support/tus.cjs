// Sends files by tus-js-client, one after the other. Goes on with what an earlier run began.
//   node tus.cjs ENDPOINT STORE CHUNK FILE…
const fs = require('fs')
const path = require('path')
const tus = require('tus-js-client')

const [endpoint, store, chunk, ...files] = process.argv.slice(2)

function send(file) {
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(fs.createReadStream(file), {
      endpoint,
      uploadSize: fs.statSync(file).size,
      chunkSize: Number(chunk),
      retryDelays: Array(40).fill(250),
      metadata: { filename: path.basename(file), filetype: 'audio/wav', from: 'Yuki' },
      urlStorage: new tus.FileUrlStorage(store),
      removeFingerprintOnSuccess: true,
      onProgress: (sent) => console.log(`sent ${sent}`),
      onError: reject,
      onSuccess: () => resolve(upload.url),
    })
    upload.findPreviousUploads().then((before) => {
      if (before.length > 0) {
        console.log('goes on')
        upload.resumeFromPreviousUpload(before[0])
      }
      upload.start()
    }, reject)
  })
}

async function all() {
  for (const file of files) console.log(`whole ${await send(file)}`)
}

all().catch((error) => {
  console.error(String(error))
  process.exit(1)
})
