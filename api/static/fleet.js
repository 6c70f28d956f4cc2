// Draws the district on a NiceGUI Leaflet map: sites and routes once, then the whole fleet in one call per refresh.
"use strict";

window.plimsoll = (() => {
  const NAMED_FROM_ZOOM = 12; // below it only the large facilities carry their names
  const RANK = ["landfill", "incinerator", "transfer", "disposal", "construction", "forbidden", "depot"];
  const ALWAYS_NAMED = new Set(RANK.slice(0, 3));
  const MOVING = '<path d="M0,-9.5 L6.5,7.5 L0,4 L-6.5,7.5 Z"/>';
  const STANDING = '<circle r="5"/>';
  const boards = new Map();

  const text = (value) => {
    const span = document.createElement("span");
    span.textContent = value;
    return span.innerHTML;
  };

  function symbol(truck) {
    const shape = truck.moving ? MOVING : STANDING;
    return `<svg viewBox="-12 -12 24 24"><g transform="rotate(${truck.heading_deg ?? 0})">${shape}</g></svg>`;
  }

  const apart = (one, other) => one.right < other.left || other.right < one.left || one.bottom < other.top || other.bottom < one.top;

  // The name below its mark, or above it, or not at all: whichever first lies on no other.
  function nameSite(tooltip, wanted, taken) {
    const element = tooltip.getElement();
    element.classList.add("shown");
    const fits = wanted && ["bottom", "top"].some((direction) => {
      tooltip.options.direction = direction;
      tooltip.options.offset = L.point(0, direction === "top" ? -4 : 4);
      tooltip.update();
      return taken.every((other) => apart(element.getBoundingClientRect(), other));
    });
    if (fits) taken.push(element.getBoundingClientRect());
    element.classList.toggle("shown", fits);
  }

  function nameSites(board) {
    const near = board.map.getZoom() >= NAMED_FROM_ZOOM;
    const taken = [];
    for (const { role, tooltip } of board.names) nameSite(tooltip, near || ALWAYS_NAMED.has(role), taken);
  }

  function drawSite(board, feature, layer, language) {
    const { role } = feature.properties;
    const centre = layer.getBounds().getCenter();
    L.marker(centre, { icon: L.divIcon({ className: `site-mark ${role}`, iconSize: [10, 10] }), interactive: false, zIndexOffset: -5000 }).addTo(board.map);
    const options = { permanent: true, direction: "bottom", className: "site-name", interactive: false };
    const tooltip = L.tooltip(centre, { ...options, content: text(feature.properties[`name_${language}`]) }).addTo(board.map);
    board.names.push({ role, tooltip });
  }

  function draw(elementId, { sites, routes, language }) {
    const map = getElement(elementId).map;
    const board = { map, markers: new Map(), names: [] };
    boards.set(elementId, board);
    L.control.scale({ imperial: false, position: "bottomleft" }).addTo(map);
    L.geoJSON(routes, { style: { className: "route" }, interactive: false }).addTo(map);
    const ground = L.geoJSON(sites, {
      style: (feature) => ({ className: `site ${feature.properties.role}` }),
      onEachFeature: (feature, layer) => drawSite(board, feature, layer, language),
      interactive: false,
    }).addTo(map);
    board.names.sort((one, other) => RANK.indexOf(one.role) - RANK.indexOf(other.role));
    const bounds = ground.getBounds();
    board.framed = bounds.isValid();
    if (board.framed) map.fitBounds(bounds, { padding: [20, 20], animate: false });
    map.on("zoomend", () => nameSites(board));
    nameSites(board);
  }

  function place(board, truck) {
    const at = [truck.lat_deg, truck.lon_deg];
    let marker = board.markers.get(truck.key);
    const icon = () => L.divIcon({ className: `truck ${truck.state}`, html: symbol(truck), iconSize: [22, 22] });
    if (!marker) {
      marker = L.marker(at, { icon: icon(), riseOnHover: true, keyboard: false });
      marker.bindTooltip("", { direction: "top", offset: [0, -8], className: "truck-card" });
      board.markers.set(truck.key, marker.addTo(board.map));
    } else {
      marker.setLatLng(at);
      marker.setIcon(icon());
    }
    marker.setZIndexOffset(truck.z);
    marker.setTooltipContent(truck.lines.map(text).join("<br>"));
  }

  // Trucks that changed since the call before.
  function move(elementId, trucks) {
    const board = boards.get(elementId);
    if (!board) return;
    for (const truck of trucks) place(board, truck);
    if (!board.framed && board.markers.size) {
      board.framed = true;
      board.map.fitBounds(L.latLngBounds([...board.markers.values()].map((marker) => marker.getLatLng())), { padding: [40, 40], maxZoom: 14 });
    }
  }

  function show(elementId, lat_deg, lon_deg) {
    const board = boards.get(elementId);
    if (board) board.map.flyTo([lat_deg, lon_deg], Math.max(board.map.getZoom(), 14), { duration: 0.6 });
  }

  return { draw, move, show };
})();
