// An owner's website: redirects and documents at the addresses that somebody has put down in a file, HTTPS at port 443 and HTTP at
// port 80, and nothing else.
//
// Usage: node website.mjs SITE.json, where SITE is {ip, domain, cert, key, places}; certificate and key are PEM files, `places` is a
// JSON file, read anew at every request: [{address, redirect, document, type, crossOrigin}]. An address that ends with a slash
// stands for everything below it. Runs until it is ended.

import { createServer as createPlain } from "node:http";
import { createServer as createSecure } from "node:https";
import { existsSync, readFileSync } from "node:fs";

const site = JSON.parse(readFileSync(process.argv[2], "utf8"));

const answer = (scheme) => (request, response) => {
  // Names of services lead here as well.
  const host = (request.headers.host ?? site.domain).replace(/:\d+$/, "");
  const asked = `${scheme}://${host}${request.url}`;
  const places = existsSync(site.places) ? JSON.parse(readFileSync(site.places, "utf8")) : [];
  const place = places.find(({ address }) => asked === address || (address.endsWith("/") && asked.startsWith(address)));
  if (!place) return response.writeHead(404).end();
  const headers = place.crossOrigin ? { "access-control-allow-origin": "*" } : {};
  if (place.document) return response.writeHead(200, { ...headers, "content-type": place.type }).end(place.document);
  return response.writeHead(302, { ...headers, location: place.redirect + asked.slice(place.address.length) }).end();
};

createSecure({ cert: readFileSync(site.cert), key: readFileSync(site.key) }, answer("https")).listen(443, site.ip);
createPlain(answer("http")).listen(80, site.ip);
