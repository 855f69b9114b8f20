// What the tests call, in Node and in a page, of the client in wasm/.

// The inspector of Node calls in the middle of anything, and Go does not stand to be
// called while it runs: wait for a turn of the event loop.
const turn = () => new Promise(resolve => setTimeout(resolve))

export const host = {
  async list(){
    await turn()
    return goClient.list()
  },

  async run(name, config){
    await turn()
    return goClient.run(name, config)
  },
}
