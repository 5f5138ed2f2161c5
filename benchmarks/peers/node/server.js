'use strict';
// Socket.IO on Node, as its documentation shows it: acknowledges updates, and tells a room.
const { Server } = require('socket.io');

const http = require('node:http').createServer();
const io = new Server(http, { cors: { origin: '*' }, pingInterval: 60000 });
const states = new Map();

io.on('connection', (socket) => {
  socket.join('all');
  socket.on('update', (data, acknowledge) => {
    states.set(data.session_id, data.state);
    acknowledge({ status: 'ok' });
  });
  socket.on('publish', (data) => socket.to('all').emit('published', data));
});

http.listen(Number(process.argv[2]), '127.0.0.1', 1024);
